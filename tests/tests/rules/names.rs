//! Which module may name what.

/// A name that stands only where it may.
pub struct Rule {
    /// What must not be named.
    pub words: &'static [&'static str],
    /// Where: the beginnings of paths.
    pub within: &'static [&'static str],
    /// Where it may be named all the same, and why.
    pub except: &'static [(&'static str, &'static str)],
    /// What the rule is for.
    pub reason: &'static str,
}

const ALL: &[&str] = &["protocol/src/", "kms-server/src/", "kms-client/src/", "certs/src/"];
const SERVER: &[&str] = &["kms-server/src/"];
const CLIENT: &[&str] = &["kms-client/src/"];
const CORE: &[&str] = &["kms-server/src/kms/"];
const CRYPTO: &[&str] = &["kms-server/src/crypto/"];
const STORE: &[&str] = &["kms-server/src/store/"];

/// The modules of the server's edge, which nothing below it knows.
const EDGE: &[&str] = &[
    "crate::admin",
    "crate::cli",
    "crate::clock",
    "crate::config",
    "crate::connection",
    "crate::dev",
    "crate::listener",
    "crate::pki",
    "crate::revocation",
    "crate::rotator",
    "crate::server",
    "crate::service",
    "crate::tls",
];

const TIME: &[Rule] = &[
    Rule {
        words: &["SystemTime::now", "Timestamp::now", "Zoned::now", "OffsetDateTime::now_utc", "Utc::now"],
        within: ALL,
        except: &[
            ("kms-server/src/clock.rs", "it is the clock"),
            ("kms-client/src/main.rs", "the client's binary passes the time down"),
        ],
        reason: "time is an argument",
    },
    Rule {
        words: &["system_now", "system_time"],
        within: SERVER,
        except: &[
            ("kms-server/src/clock.rs", "it is the clock"),
            (
                "kms-server/src/listener.rs",
                "certificates live by the system's time, however far the clock was moved",
            ),
            ("kms-server/src/expiry.rs", "certificates expire by the system's time"),
            ("kms-server/src/notifier.rs", "the certificates of listening clients live by the system's time"),
            ("kms-server/src/admin/crl.rs", "so do lists of revoked certificates"),
            ("kms-server/src/cli/", "the commands that make certificates pass the time down"),
            (
                "kms-server/src/testing/",
                "certificates live by the system's time, and a test's clock starts there",
            ),
            ("kms-server/src/rotator.rs", "a store says since when, in real time, its clock was moved"),
        ],
        reason: "keys and policies live by the server's clock",
    },
    Rule {
        words: &["std::time::Instant", "time::Instant"],
        within: &["kms-server/src/kms/", "kms-server/src/crypto/", "kms-server/src/store/", "protocol/src/"],
        except: &[],
        reason: "only the edge measures how long something takes",
    },
    Rule {
        words: &["std::time::Instant"],
        within: ALL,
        except: &[
            ("kms-server/src/main.rs", "when the program started"),
            ("kms-server/src/cli/", "the banner says how long the start took"),
            ("kms-server/src/server.rs", "passes the start on to the admin API"),
            ("kms-server/src/standby.rs", "passes the start on to the admin API"),
            ("kms-server/src/admin/", "says since when the server runs"),
        ],
        reason: "deadlines go by tokio's time, which tests can move",
    },
];

const EDGES: &[Rule] = &[
    Rule {
        words: &["std::env", "env::var", "env::var_os", "env::vars", "env::current_dir", "env::temp_dir"],
        within: ALL,
        except: &[
            ("kms-client/src/main.rs", "the arguments, for the command line"),
            (
                "kms-server/src/config/mod.rs",
                "the store's key, which must not be an option: others see those",
            ),
            ("kms-client/src/bin/age-plugin-kmip.rs", "the argument that says what age wants"),
        ],
        reason: "the environment is read by the command lines alone",
    },
    Rule {
        words: &["env = "],
        within: ALL,
        except: &[
            ("kms-server/src/cli/", "options that the environment can set"),
            ("kms-client/src/cli/", "options that the environment can set"),
        ],
        reason: "the environment is read by the command lines alone",
    },
    Rule {
        words: &["TcpListener::bind", "TcpListener::from_std", "Socket::new", "UnixListener", "UdpSocket"],
        within: ALL,
        except: &[
            ("kms-server/src/listener.rs", "it opens the ports, the admin API's too"),
            ("kms-client/src/drill/wire.rs", "it stands between clients and servers, to cut the way"),
        ],
        reason: "ports are opened in one place",
    },
    Rule {
        words: &["TcpStream::connect", "UnixStream", "lookup_host"],
        within: ALL,
        except: &[
            ("kms-client/src/tcp.rs", "it reaches servers"),
            ("kms-client/src/drill/wire.rs", "it stands between clients and servers, to cut the way"),
            ("kms-server/src/cassette/record.rs", "it reaches the server that it records"),
            ("kms-server/src/notifier.rs", "it reaches clients that listen to be told"),
        ],
        reason: "peers are reached in one place",
    },
    Rule {
        words: &["std::process::Command", "process::Command", "std::process::exit", "process::exit"],
        within: ALL,
        except: &[("kms-client/src/drill/process.rs", "a drill starts servers and kills them")],
        reason: "no library starts or ends programs",
    },
    Rule {
        words: &["axum"],
        within: SERVER,
        except: &[
            ("kms-server/src/admin/", "HTTP is its protocol"),
            ("kms-server/src/connection/https.rs", "HTTP carries KMIP there"),
        ],
        reason: "HTTP is the admin API's, and one transport's",
    },
    Rule {
        words: &["clap"],
        within: ALL,
        except: &[
            ("kms-server/src/cli/", "it is the command line"),
            ("kms-server/src/main.rs", "it starts the command line"),
            ("kms-client/src/cli/", "it is the command line"),
        ],
        reason: "command lines stay at the edge",
    },
    Rule {
        words: &["sled"],
        within: SERVER,
        except: &[("kms-server/src/store/", "it is the store")],
        reason: "only the store names a database",
    },
    Rule {
        words: &["sled"],
        within: CLIENT,
        except: &[("kms-client/src/backup/database.rs", "it is the configuration database")],
        reason: "only the configuration database names a database",
    },
    Rule {
        words: &["std::{"],
        within: ALL,
        except: &[],
        reason: "what is named in groups is not found by these rules",
    },
];

const LAYERS: &[Rule] = &[
    Rule {
        words: &[
            "tokio",
            "std::fs",
            "std::net",
            "std::io",
            "std::time",
            "std::thread",
            "std::env",
            "std::process",
            "std::path",
            "SystemTime",
            "Instant",
        ],
        within: &["protocol/src/"],
        except: &[],
        reason: "the protocol is free of I/O, threads and time",
    },
    Rule {
        words: &["kms_client"],
        within: SERVER,
        except: &[],
        reason: "server and client know each other by the protocol alone",
    },
    Rule {
        words: &["kms_server", "kms_certs"],
        within: CLIENT,
        except: &[],
        reason: "server and client know each other by the protocol alone",
    },
    Rule { words: EDGE, within: CORE, except: &[], reason: "the core knows nothing of the edge" },
    Rule { words: EDGE, within: CRYPTO, except: &[], reason: "the floor knows nothing of the edge" },
    Rule { words: EDGE, within: STORE, except: &[], reason: "the floor knows nothing of the edge" },
    Rule {
        words: &["tokio", "rustls", "std::fs", "std::net", "std::path"],
        within: CORE,
        except: &[(
            "kms-server/src/kms/notes.rs",
            "a store says where its key was read; the edge opens that",
        )],
        reason: "the core is synchronous and opens nothing",
    },
    Rule {
        words: &["crate::kms", "crate::store", "std::fs", "std::net"],
        within: CRYPTO,
        except: &[],
        reason: "cryptography knows keys, not objects, files or peers",
    },
    Rule {
        words: &["tokio"],
        within: CRYPTO,
        except: &[("kms-server/src/crypto/workers.rs", "its results are awaited by the edge")],
        reason: "cryptography is synchronous",
    },
    Rule {
        words: &["crate::kms", "crate::crypto", "tokio"],
        within: STORE,
        except: &[],
        reason: "the store knows records, not objects or keys, and is synchronous",
    },
    Rule {
        words: &["Kms", "Store", "Uuid", "tracing", "crate::crypto", "crate::limits"],
        within: &[
            "kms-server/src/kms/access.rs",
            "kms-server/src/kms/lifecycle.rs",
            "kms-server/src/kms/locate.rs",
            "kms-server/src/kms/model.rs",
            "kms-server/src/kms/policy.rs",
            "kms-server/src/kms/rotation.rs",
        ],
        except: &[],
        reason: "these are pure: no state, no I/O, no chance",
    },
    Rule {
        words: &["crate::store", "crate::crypto"],
        within: &["kms-server/src/admin/", "kms-server/src/rotator.rs", "kms-server/src/listener.rs"],
        except: &[("kms-server/src/admin/store.rs", "sends copies of the store, in which keys stay sealed")],
        reason: "they reach keys through the core alone",
    },
];

const SECRETS: &[Rule] = &[Rule {
    words: &[".expose()"],
    within: ALL,
    except: &[
        ("protocol/src/ttlv/", "encodes and decodes secrets"),
        ("protocol/src/message.rs", "puts encoded payloads into a message"),
        ("protocol/src/object/", "takes Transparent key material apart and puts it together"),
        ("kms-server/src/crypto/", "uses keys"),
        ("kms-server/src/connection/", "writes an encoded response"),
        ("kms-server/src/cassette/", "passes encoded messages on, and takes them apart"),
        ("kms-server/src/interposed.rs", "takes encoded requests and answers apart"),
        ("kms-server/src/mock.rs", "takes encoded answers apart, for the journal"),
        ("kms-server/src/wire/input.rs", "decodes messages that somebody wants to look at"),
        ("kms-server/src/cli/ttlv.rs", "shows messages that somebody wants to look at"),
        ("kms-server/src/testing/keys.rs", "gives the same key to several test servers"),
        ("kms-server/src/persona/", "takes encoded requests and answers apart"),
        ("kms-server/src/service.rs", "hands the store's key to the cryptography"),
        ("kms-server/src/store_key.rs", "makes the store's key of what the operator gives"),
        ("kms-server/src/kms/later.rs", "reads an encoded request that was put off"),
        ("kms-server/src/kms/contained.rs", "hands containers to the cryptography"),
        ("kms-server/src/kms/content.rs", "turns key material from one format into another"),
        ("kms-server/src/kms/planted/objects.rs", "makes objects of what a development server's seed states"),
        ("kms-server/src/seed/objects.rs", "writes certificates and public keys into a seed"),
        ("kms-server/src/kms/wrapping.rs", "hands keys to be wrapped to the cryptography, and back"),
        ("kms-server/src/kms/operations/encrypt.rs", "hands the plaintext to the cryptography"),
        ("kms-server/src/kms/pairs.rs", "takes the digests of new keys"),
        ("kms-server/src/kms/credentials.rs", "hands passwords to the cryptography"),
        ("kms-server/src/kms/tickets.rs", "takes the hashes of tickets"),
        (
            "kms-client/src/agreement.rs",
            "takes what a KMS derived, and uses a private key that had to travel",
        ),
        ("kms-client/src/backup/envelope", "wraps and unwraps file keys, and puts passwords through scrypt"),
        ("kms-client/src/bench.rs", "sends encoded requests and checks the plaintext that it made itself"),
        ("kms-client/src/batch.rs", "reads an encoded response"),
        ("kms-client/src/client.rs", "reads an encoded response"),
        (
            "kms-client/src/conformance/",
            "sends encoded requests, reads encoded responses, checks a plaintext",
        ),
        ("kms-client/src/decrypt.rs", "uses a private key that had to travel"),
        ("kms-client/src/doctor/oaep.rs", "checks the plaintext that it made itself"),
        ("kms-client/src/drill/load.rs", "checks the plaintext that it made itself"),
        ("kms-client/src/endpoints.rs", "sends an encoded request, which a trial may outlive"),
        ("kms-client/src/keys.rs", "reads public keys, which objects hold as secrets too"),
        ("kms-client/src/message.rs", "puts encoded items into a message"),
        ("kms-client/src/notifications.rs", "reads encoded requests of a server and sends the answers"),
        ("kms-client/src/profile.rs", "takes a password from its file"),
        ("kms-client/src/tls.rs", "reads PEM, private keys among it"),
    ],
    reason: "secrets have one door, opened only where bytes are encoded or used as a key",
}];

/// All of them.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [TIME, EDGES, LAYERS, SECRETS].into_iter().flatten()
}
