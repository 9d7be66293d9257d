# A MESH home server. docs/install.md says how to use it.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /mesh
COPY . .
RUN cargo build --release --locked --package mesh-server --package mesh-cli

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/mesh --create-home --shell /usr/sbin/nologin mesh && chmod 0700 /var/lib/mesh
COPY --from=build /mesh/target/release/meshd /mesh/target/release/mesh /usr/bin/
USER mesh
VOLUME /var/lib/mesh
EXPOSE 80 443
# It asks the running server, which may first have to upgrade the data folder.
HEALTHCHECK --start-period=60s CMD ["meshd", "status"]
ENTRYPOINT ["meshd"]
CMD ["serve"]
