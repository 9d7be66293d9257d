# A MESH home server. Build: docker build -t mesh .
# Run: docker run -v mesh:/var/lib/mesh -it mesh setup --domain example.org
#      docker run -v mesh:/var/lib/mesh -p 80:80 -p 443:443 mesh
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /mesh
COPY . .
RUN cargo build --release --locked --package mesh-server --package mesh-cli

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/mesh --create-home --shell /usr/sbin/nologin mesh && chmod 0700 /var/lib/mesh
COPY --from=build /mesh/target/release/meshd /mesh/target/release/mesh /usr/bin/
USER mesh
ENV MESHD_DATA=/var/lib/mesh
VOLUME /var/lib/mesh
EXPOSE 80 443
ENTRYPOINT ["meshd"]
CMD ["serve"]
