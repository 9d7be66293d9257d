//! Where the log goes, and how its lines look.

use std::fmt;
use std::io::IsTerminal;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is logged unless `MESHD_LOG` says otherwise: the store names every file that it opens, which nobody needs to read.
const FILTER: &str = "info,fjall=warn,lsm_tree=warn";

/// Begins the log, as `MESHD_LOG` and `MESHD_LOG_FORMAT` say.
pub(crate) fn begin() {
    let filter = EnvFilter::try_from_env("MESHD_LOG").unwrap_or_else(|_| FILTER.into());
    // A closed log must not end the server: what cannot be written is lost, and nothing else.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).log_internal_errors(false);
    match std::env::var("MESHD_LOG_FORMAT").as_deref() {
        Ok("json") => log.json().flatten_event(true).init(),
        _ if std::env::var_os("JOURNAL_STREAM").is_some() => {
            log.with_ansi(false).map_event_format(|format| Journal(format.without_time())).init()
        }
        _ => log.with_ansi(std::io::stderr().is_terminal()).init(),
    }
}

/// A line for the journal, which knows the time itself, and is told the priority as sd-daemon(3) has it.
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}
