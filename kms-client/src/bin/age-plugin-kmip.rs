//! The plugin that `age` and `rage` start for recipients `age1kmip1…` and identities `AGE-PLUGIN-KMIP-1…`.

use std::process::ExitCode;

use kms_client::backup::plugin;
use kms_client::cli;

#[expect(clippy::print_stderr, reason = "it is a program, and its output belongs to age")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let machine = arguments.next().and_then(|first| first.strip_prefix("--age-plugin=").map(str::to_owned));
    let Some(machine) = machine else {
        eprintln!(
            "age and rage start this program by themselves.\n\
             hint: `kms-client plugin recipient JOB` prints whom to encrypt to, `kms-client plugin identity SERVER` what decrypts"
        );
        return ExitCode::from(2);
    };
    match plugin::run(&machine, &cli::connect) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
