//! What was answered is there: after a loss of power at any moment, and while the disk is full.

use crate::federation::post;
use crate::network::{Home, until};
use mesh_proto::api::RecordView;
use mesh_proto::envelope::{Envelope, RecordId};
use mesh_store::testing::{FaultFiles, Torn};
use mesh_testkit::TestAccount;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Losses of power, each at another moment and tearing what was not synced in another way.
const LOSSES: usize = 12;
/// People who write at the same time.
const WRITERS: u8 = 8;

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else if entry.path().is_file() {
            std::fs::copy(entry.path(), &target).expect("copied");
        }
    }
}

/// Everyone writes until the server fails; `answered` is told of each answer. Answers what was acknowledged.
async fn write_until_it_fails(home: &Home, people: &[TestAccount], round: usize, answered: impl Fn(usize)) -> Vec<RecordId> {
    let acknowledged = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let writers = people.iter().map(|person| async {
        for number in 0.. {
            let envelope = person.sign(post(&format!("round {round}, post {number}")));
            if !is_accepted(home, &envelope).await {
                return;
            }
            acknowledged.lock().expect("no panic").push(envelope.id());
            answered(count.fetch_add(1, Ordering::Relaxed) + 1);
        }
    });
    let writers: Vec<_> = writers.map(Box::pin).collect();
    all(writers).await;
    acknowledged.into_inner().expect("no panic")
}

async fn is_accepted(home: &Home, envelope: &Envelope) -> bool {
    home.submit(envelope).await.status == 201
}

/// Drives futures side by side to their ends.
async fn all<F: Future<Output = ()> + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_record_is_lost_with_the_unsynced_bytes() {
    let mut home = Home::start("one").await;
    let mut people = Vec::new();
    for number in 0..WRITERS {
        people.push(home.person(&format!("writer{number}"), number + 1).await);
    }
    home.stop().await;
    let mut acknowledged = Vec::new();
    for round in 0..LOSSES {
        let files = FaultFiles::new();
        home.start_again_on(files.clone()).await;
        let (moment, torn) =
            (20 + round * 13, [Torn::Nothing, Torn::Bytes(3 + 11 * round as u64), Torn::ZerosAfter(7 * round as u64)][round % 3]);
        let lost = write_until_it_fails(&home, &people, round, |count| {
            if count == moment {
                files.lose_power(torn).expect("the files can be changed");
            }
        });
        acknowledged.extend(lost.await);
        // What the disk held at that moment is what there is; nothing that the dying process still does counts.
        let left = tempfile::tempdir().expect("a folder");
        copy(home.folder.path(), left.path());
        home.abandon().await;
        std::fs::set_permissions(left.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("set");
        home.folder = left;
        home.start_again_on(FaultFiles::new()).await;
        for id in &acknowledged {
            assert!(home.view(id).await.record.is_some(), "loss {round}: {id} was acknowledged and is gone");
        }
        home.stop().await;
    }
    assert!(acknowledged.len() > LOSSES * 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_refuses_writes_serves_reads_and_writes_resume_when_there_is_room() {
    let mut home = Home::start("one").await;
    let ada = home.person("ada", 1).await;
    home.stop().await;
    let files = FaultFiles::new();
    home.start_again_on(files.clone()).await;
    let before = home.says(&ada, post("while there is room")).await;
    files.set_room(Some(0));
    let refused = home.submit(&ada.sign(post("no room"))).await;
    assert_eq!((refused.status, refused.problem()), (503, "unavailable".into()));
    assert_eq!(home.get("/healthz").await.status, 200);
    assert!(home.get(&format!("/api/v1/records/{}", before.id())).await.json::<RecordView>().record.is_some());
    files.set_room(None);
    let after = ada.sign(post("room again"));
    until("writes resume", async || home.submit(&after).await.status == 201).await;
    assert_eq!(home.get("/readyz").await.status, 200);
    home.stop().await;
    home.start_again().await;
    assert!(home.view(&after.id()).await.record.is_some());
}
