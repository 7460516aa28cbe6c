use proptest::prelude::*;

use super::*;
use crate::api::{Bearer, KeyHeader};

fn bearer() -> Authentication {
    Authentication { headers: None, bearer: Some(Bearer {}), basic: None }
}

fn basic(username: Option<&str>, username_key: Option<&str>) -> Authentication {
    let basic = Basic { username: username.map(Into::into), username_key: username_key.map(Into::into) };
    Authentication { headers: None, bearer: None, basic: Some(basic) }
}

fn headers(list: &[(&str, Option<&str>, Option<&str>)]) -> Authentication {
    let headers = list
        .iter()
        .map(|(name, prefix, key)| KeyHeader {
            name: (*name).into(),
            prefix: prefix.map(Into::into),
            key: key.map(Into::into),
        })
        .collect();
    Authentication { headers: Some(headers), bearer: None, basic: None }
}

fn data(entries: &[(&str, &[u8])]) -> BTreeMap<String, ByteString> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.to_vec()))).collect()
}

fn read(authentication: &Authentication, entries: &[(&str, &[u8])]) -> Result<Vec<(String, String)>, CredentialFault> {
    Credential::read(authentication, "api-key", &data(entries)).map(|credential| {
        credential
            .headers
            .iter()
            .map(|(name, value)| {
                assert!(value.is_sensitive(), "{name} is not marked sensitive");
                (name.to_string(), value.to_str().unwrap().to_owned())
            })
            .collect()
    })
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn each_form_of_authentication_makes_its_headers() {
    let entries: &[(&str, &[u8])] = &[("api-key", b"k3y"), ("app-key", b"4pp\n"), ("site-id", b"site 7")];
    assert_eq!(read(&bearer(), entries), Ok(one("authorization", "Bearer k3y")));
    assert_eq!(read(&basic(Some("api"), None), entries), Ok(one("authorization", "Basic YXBpOmszeQ==")));
    assert_eq!(read(&basic(None, Some("site-id")), entries), Ok(one("authorization", "Basic c2l0ZSA3OmszeQ==")));
    assert_eq!(
        read(&headers(&[("DD-API-KEY", None, None), ("X-App", Some("GenieKey "), Some("app-key"))]), entries),
        Ok([one("dd-api-key", "k3y"), one("x-app", "GenieKey 4pp")].concat())
    );
}

#[test]
fn a_key_is_refused_in_every_way_that_it_can_be_bad() {
    let long = vec![b'k'; MAX_KEY + 1];
    let bad: &[&[u8]] = &[
        b"",
        b"\n",
        b" ",
        b" k",
        b"k ",
        b"k \n",
        b"\tk",
        b"k\t",
        b"k\n\n",
        b"k\r\n",
        b"k\r",
        b"k\ney",
        b"k\rey",
        b"k\r\nX-Other: 1",
        b"\nk",
        b"k\0",
        b"k\0ey",
        b"k\x7f",
        b"k\x1b[0m",
        b"k\x80",
        "schl\u{fc}ssel".as_bytes(),
        "k\u{200b}".as_bytes(),
        b"\xff\xfe",
        b"\xef\xbb\xbfk",
        &long,
    ];
    for key in bad {
        for authentication in [bearer(), basic(Some("api"), None), headers(&[("X-Key", None, None)])] {
            assert_eq!(read(&authentication, &[("api-key", key)]), Err(CredentialFault::Invalid), "{key:?}");
        }
        assert_eq!(
            read(&basic(None, Some("user")), &[("api-key", b"k"), ("user", key)]),
            Err(CredentialFault::Invalid),
            "user {key:?}"
        );
    }
}

#[test]
fn a_key_is_taken_at_its_longest_with_one_newline_and_with_inner_spaces() {
    let mut longest = vec![b'k'; MAX_KEY];
    let text = String::from_utf8(longest.clone()).unwrap();
    longest.push(b'\n');
    assert_eq!(read(&headers(&[("x", None, None)]), &[("api-key", &longest)]), Ok(one("x", &text)));
    assert_eq!(read(&headers(&[("x", None, None)]), &[("api-key", b"a  b!~")]), Ok(one("x", "a  b!~")));
}

#[test]
fn a_missing_key_is_told_apart_from_a_bad_one_and_goes_before_it() {
    let two = headers(&[("X-A", None, None), ("X-B", None, Some("other"))]);
    assert_eq!(read(&two, &[("api-key", b"")]), Err(CredentialFault::KeyNotFound));
    assert_eq!(read(&bearer(), &[("Api-Key", b"k")]), Err(CredentialFault::KeyNotFound));
    assert_eq!(read(&basic(None, Some("user")), &[("api-key", b"")]), Err(CredentialFault::KeyNotFound));
    assert_eq!(read(&basic(None, Some("user")), &[("user", b"")]), Err(CredentialFault::KeyNotFound));
}

#[test]
fn a_user_name_with_a_colon_is_refused_and_a_key_with_one_is_not() {
    assert_eq!(read(&basic(None, Some("u")), &[("api-key", b"k"), ("u", b"a:b")]), Err(CredentialFault::Invalid));
    assert_eq!(read(&basic(Some("a:b"), None), &[("api-key", b"k")]), Err(CredentialFault::Invalid));
    assert_eq!(read(&basic(Some("a"), None), &[("api-key", b"k:l")]), Ok(one("authorization", "Basic YTprOmw=")));
}

#[test]
fn wiping_leaves_no_value_behind() {
    let mut data = data(&[("api-key", b"k3y")]);
    wipe(&mut data);
    assert!(data.is_empty());
}

proptest! {
    #[test]
    fn whatever_bytes_a_secret_holds_a_header_carries_them_whole_or_not_at_all(key in prop::collection::vec(any::<u8>(), 0..64)) {
        let visible = key.strip_suffix(b"\n").unwrap_or(&key);
        let sound = !visible.is_empty()
            && visible.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
            && visible.trim_ascii() == visible;
        match read(&bearer(), &[("api-key", &key)]) {
            Ok(made) => {
                prop_assert!(sound);
                prop_assert_eq!(made[0].1.as_bytes(), [b"Bearer ", visible].concat());
            }
            Err(fault) => {
                prop_assert!(!sound);
                prop_assert_eq!(fault, CredentialFault::Invalid);
            }
        }
    }
}
