#!/usr/bin/env python3
"""Writes geo.mmdb, the geo database of the tests, from the table below.

All networks are set aside for documentation (RFC 5737, RFC 3849) or lead to this machine (RFC 1122);
where they are said to be is made up. Needs PyPI's `mmdb-writer`:

    python3 -m venv venv && venv/bin/pip install mmdb-writer==0.2.7
    venv/bin/python crates/nts-pool-ke/testdata/make_geo.py
"""

import pathlib

import mmdb_writer
from netaddr import IPSet

NETWORKS = [
    # network, continent code, country code
    # 127.0.0.0/16 is nowhere.
    ("127.1.0.0/16", "EU", "DE"),
    ("127.2.0.0/16", "EU", "NL"),
    ("127.3.0.0/16", "NA", "US"),
    ("127.4.0.0/16", "AS", "JP"),
    ("192.0.2.0/26", "EU", "DE"),
    ("192.0.2.64/26", "EU", "NL"),
    ("192.0.2.128/26", "EU", "SE"),
    ("192.0.2.192/26", "EU", None),
    ("198.51.100.0/25", "NA", "US"),
    ("198.51.100.128/25", "AF", "NA"),
    ("203.0.113.0/25", "AS", "JP"),
    ("203.0.113.128/25", None, None),
    ("2001:db8:0::/48", "EU", "DE"),
    ("2001:db8:1::/48", "NA", "US"),
    ("2001:db8:2::/48", "SA", "BR"),
]


def main() -> None:
    mmdb_writer.time.time = lambda: 0  # the same octets each time
    writer = mmdb_writer.MMDBWriter(
        ip_version=6,
        ipv4_compatible=True,
        database_type="Test-Country",
        languages=["en"],
        description={"en": "Made-up places for the tests of nts-pool-ke"},
    )
    for network, continent, country in NETWORKS:
        record = {"registered_country": {"iso_code": "FR"}}
        if continent:
            record["continent"] = {"code": continent, "names": {"en": continent}}
        if country:
            record["country"] = {"iso_code": country, "names": {"en": country}}
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(pathlib.Path(__file__).with_name("geo.mmdb")))


if __name__ == "__main__":
    main()
