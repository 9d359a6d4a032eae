use crate::crypto::Secret;
use crate::crypto::split::{Method, Part, join, split};

fn chosen(parts: &[Part], which: &[usize]) -> Vec<Part> {
    which
        .iter()
        .map(|at| Part { number: parts[*at].number, bytes: Secret::from(parts[*at].bytes.expose()) })
        .collect()
}

#[test]
fn as_many_parts_as_the_threshold_says_make_the_secret_and_fewer_do_not() {
    let secret = Secret::new((0..32).collect());
    let parts = split(Method::Gf256, &secret, 5, 3).unwrap();
    assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for which in [&[0, 1, 2][..], &[4, 2, 0], &[1, 2, 3, 4], &[0, 1, 2, 3, 4]] {
        assert_eq!(join(Method::Gf256, &chosen(&parts, which), 3).unwrap(), secret, "{which:?}");
    }
    assert!(join(Method::Gf256, &chosen(&parts, &[0, 1]), 3).is_err());
    // Two of them are points of another line than the polynomial.
    assert_ne!(join(Method::Gf256, &chosen(&parts, &[0, 1]), 2).unwrap(), secret);
    assert!(join(Method::Gf256, &chosen(&parts, &[0, 0, 1]), 3).is_err());
}

#[test]
fn a_part_that_does_not_fit_is_noticed_where_there_are_more_than_are_needed() {
    let secret = Secret::new(vec![7; 16]);
    let mut parts = split(Method::Gf256, &secret, 4, 3).unwrap();
    let changed: Vec<u8> = parts[3].bytes.expose().iter().map(|byte| byte ^ 1).collect();
    parts[3].bytes = Secret::new(changed);
    let error = join(Method::Gf256, &parts, 3).unwrap_err();
    assert!(error.to_string().contains("not of the same key"), "{error}");
    parts[3].bytes = Secret::new(vec![1; 15]);
    assert!(join(Method::Gf256, &parts, 3).is_err(), "another length");
    assert!(join(Method::Xor, &parts, 4).is_err(), "another length");
    assert!(join(Method::Xor, &[], 2).is_err());
}

/// Worked by hand in the field of FIPS 197: the line through 0x53 at 0 of the slope 0xCA, whose product with 0x53 is 1.
#[test]
fn the_field_is_that_of_fips_197() {
    // At x = 0x53 the line is 0x53 + 0xCA * 0x53 = 0x53 + 0x01; at x = 1 it is 0x53 + 0xCA.
    let point = |number, byte| Part { number, bytes: Secret::new(vec![byte]) };
    let joined = join(Method::Gf256, &[point(0x53, 0x52), point(0x01, 0x99)], 2).unwrap();
    assert_eq!(joined.expose(), [0x53]);
}

#[test]
fn thresholds_that_cannot_be_are_refused() {
    let secret = Secret::new(vec![7; 16]);
    for (count, threshold) in [(3, 1), (3, 4), (1, 1), (0, 0)] {
        for method in [Method::Xor, Method::Gf256] {
            assert!(split(method, &secret, count, threshold).is_err(), "{method:?} {count} {threshold}");
        }
    }
    assert!(split(Method::Gf256, &Secret::default(), 3, 2).is_err());
}
