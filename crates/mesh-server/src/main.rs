//! `meshd`: a MESH home server.
#![expect(clippy::print_stdout, reason = "what the commands answer is data for people and scripts")]

use anyhow::Context;
use clap::{Parser, Subcommand};
use mesh_node::healing::Aim;
use mesh_proto::address::Domain;
use mesh_server::{config, serve, verify};
use std::path::PathBuf;
use std::process::ExitCode;

/// Memory is taken by one thread and given back by another all the time: this costs a third of what the system's allocator takes for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "meshd", version, about = "A MESH home server", propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a data folder for a domain: keys and configuration
    Setup {
        /// The domain, for example example.org or one.localhost:8001
        #[arg(long)]
        domain: String,
        /// The data folder
        #[arg(long)]
        data: PathBuf,
    },
    /// Serve a domain from its data folder
    Serve {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
        /// Refuse to start unless the folder is this domain's
        #[arg(long)]
        domain: Option<Domain>,
    },
    /// Make an invite code that works once (the server must not be running)
    Invite {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
    },
    /// Compare what is here of other domains with what they have (the server must not be running)
    Verify {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
        /// Mend what differs: fetch what is missing, drop what its home does not know
        #[arg(long)]
        repair: bool,
    },
    /// Begin a new log, after the data folder was put back from a backup (the server must not be running)
    NewLog {
        /// The data folder
        #[arg(long)]
        data: PathBuf,
    },
    /// Print the API description (OpenAPI, JSON)
    Openapi,
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MESHD_LOG").unwrap_or_else(|_| "info".into());
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A closed log must not end the server: what cannot be written is lost, and nothing else.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    log.with_ansi(is_terminal).log_internal_errors(false).init();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Setup { domain, data } => {
            let domain = Domain::from_human(&domain)?;
            let config = config::Config::new(domain);
            config::set_up(&data, &config, &mesh_server::system_rng())?;
            println!("{} is set up in {}.\nStart it with: meshd serve --data {}", config.domain, data.display(), data.display());
            Ok(())
        }
        Command::Serve { data, domain } => serve_folder(&data, domain),
        Command::Invite { data } => {
            let node = serve::open(&config::read(&data)?)?;
            println!("{}", node.registrar.invite(node.rng())?.code);
            Ok(node.stop()?)
        }
        Command::Verify { data, repair } => verify_folder(&data, if repair { Aim::Repair } else { Aim::Look }),
        Command::NewLog { data } => {
            let origin = serve::begin_new_log(&config::read(&data)?)?;
            println!(
                "{origin} begins where the old log ends.\nOther domains take it in as soon as they hear of it. Start the server as usual."
            );
            Ok(())
        }
        Command::Openapi => {
            println!("{}", mesh_server::openapi_json());
            Ok(())
        }
    }
}

fn serve_folder(data: &std::path::Path, domain: Option<Domain>) -> anyhow::Result<()> {
    let folder = config::read(data)?;
    if let Some(domain) = domain.filter(|domain| *domain != folder.config.domain) {
        anyhow::bail!("{} is the data folder of {}, not of {domain}", data.display(), folder.config.domain);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let node = serve::open(&folder)?;
    runtime.block_on(async {
        let listeners = serve::bind(&folder.config).await?;
        tracing::info!(domain = %folder.config.domain, url = folder.config.domain.base_url(), "server.ready");
        serve::serve(node, listeners, &folder.config, stop_signal()?).await
    })
}

fn verify_folder(data: &std::path::Path, aim: Aim) -> anyhow::Result<()> {
    let folder = config::read(data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    println!("{}", verify::HEADER);
    let compared = runtime.block_on(verify::run(&folder, aim, |compared| println!("{}", verify::line(compared))))?;
    let reports = || compared.iter().filter_map(|compared| compared.outcome.as_ref().ok());
    let (missing, extra) = reports().fold((0, 0), |sum, report| (sum.0 + report.missing, sum.1 + report.extra));
    let unheard = compared.len() - reports().count();
    match aim {
        Aim::Look if missing + extra > 0 => {
            anyhow::bail!("{missing} records are missing here and {extra} are not known at their homes: `meshd verify --repair` mends that")
        }
        _ if unheard > 0 => anyhow::bail!("{unheard} of {} domains could not be compared with: try again later", compared.len()),
        _ => Ok(()),
    }
}

/// Resolves on Ctrl-C and on SIGTERM.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
