//! The committed descriptors of both services.

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn file_of(package: &str) -> FileDescriptorProto {
    let files = FileDescriptorSet::decode(vault_rpc::DESCRIPTORS).unwrap();
    let mut files = files.file.into_iter();
    files.find(|file| file.package() == package).unwrap()
}

/// A method, and whether it takes a stream of messages.
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) takes_a_stream: bool,
}

/// The methods of the service for devices.
pub(crate) fn methods() -> Vec<Method> {
    let [service] = &file_of("coffre.rpc.v1").service[..] else {
        panic!("one service");
    };
    let methods = service.method.iter().map(|method| Method {
        name: method.name().to_owned(),
        takes_a_stream: method.client_streaming(),
    });
    methods.collect()
}

/// The paths of all fields of a message for the hoster's own commands, those of the
/// messages in it among them.
pub(crate) fn field_paths(message: &str) -> Vec<String> {
    fields_below("", message, &file_of("coffre.admin.v1").message_type)
}

fn fields_below(prefix: &str, message: &str, all: &[DescriptorProto]) -> Vec<String> {
    let message = all.iter().find(|other| other.name() == message).unwrap();
    let mut paths = Vec::new();
    for field in &message.field {
        let path = format!("{prefix}{}", field.name());
        match field.type_name().rsplit('.').next() {
            Some(inner) if !inner.is_empty() => {
                paths.extend(fields_below(&format!("{path}."), inner, all));
            }
            _ => paths.push(path),
        }
    }
    paths
}
