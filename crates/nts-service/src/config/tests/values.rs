use proptest::prelude::*;

use super::*;

#[test]
fn addresses_in_all_spellings() {
    for (text, host, port) in [
        ("time.example.org", "time.example.org", 4460),
        ("time.example.org:1", "time.example.org", 1),
        ("time.example.org.:65535", "time.example.org", 65535),
        ("192.0.2.1:8080", "192.0.2.1", 8080),
        ("2001:db8::1", "2001:db8::1", 4460),
        ("[2001:db8::1]", "2001:db8::1", 4460),
        ("[2001:db8::1]:123", "2001:db8::1", 123),
        ("localhost", "localhost", 4460),
    ] {
        let address: Address = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.host().to_string(), host, "{text}");
        assert_eq!(address.port_or(4460), port, "{text}");
    }
}

#[test]
fn wrong_addresses_say_why() {
    for (text, why) in [
        ("", "neither a DNS name nor an IP address"),
        ("a b", "neither a DNS name nor an IP address"),
        ("ä.test", "neither a DNS name nor an IP address"),
        ("-a.test", "neither a DNS name nor an IP address"),
        ("a..test", "neither a DNS name nor an IP address"),
        ("1.2.3.256.", "neither a DNS name nor an IP address"),
        ("a.test:0", "from 1 to 65535"),
        ("a.test:65536", "from 1 to 65535"),
        ("a.test:", "from 1 to 65535"),
        ("a.test:http", "from 1 to 65535"),
        (":4460", "neither a DNS name nor an IP address"),
        ("[2001:db8::1", "`[` without `]`"),
        ("[a.test]:1", "no IPv6 address"),
        ("[2001:db8::1]4460", "text after `]`"),
        ("https://a.test", "no URL"),
        ("https://a.test:4460/", "no URL"),
        ("1:2:3", "neither a DNS name nor an IP address"),
    ] {
        let error = text.parse::<Address>().expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn listening_needs_an_address_and_a_port() {
    let address: ListenAddress = "[::]:4460".parse().unwrap();
    assert_eq!(address.get(), "[::]:4460".parse().unwrap());
    for text in ["4460", "localhost:4460", ":::4460", "0.0.0.0"] {
        let error = text.parse::<ListenAddress>().expect_err(text);
        assert!(error.contains("no socket address"), "{text}: {error}");
    }
    assert!(
        "127.0.0.1:0"
            .parse::<ListenAddress>()
            .unwrap_err()
            .contains("port 0")
    );
}

#[test]
fn ports_are_one_to_65535() {
    assert_eq!(Port::new(0), None);
    assert_eq!(
        good("a = 65535", |root| root.optional::<Port>("a")).get(),
        65535
    );
    for text in ["a = 0", "a = 65536", "a = -1", "a = 9223372036854775807"] {
        let lines = problems(text, |root| root.required::<Port>("a"));
        assert!(
            lines[0].ends_with("no such port; write a number from 1 to 65535"),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn addresses_print_as_they_are_read(text in "[a-z0-9.:\\[\\]-]{0,30}") {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse::<Address>(), Ok(address));
        }
    }
}
