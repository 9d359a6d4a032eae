"""PyKMIP's client against a KMS: a key pair's whole life, in one version of the protocol.

pykmip_client.py HOST PORT PKI VERSION TLS NAME

Says what came of it as a line of JSON; ends non-zero at the first answer that is not as it should be. What PyKMIP
itself does not implement is not asked: Link, which its attribute factory refuses to read, and Re-key Key Pair.
"""

import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from kmip.core import enums
from kmip.core.factories.attributes import AttributeFactory
from kmip.pie import exceptions, objects
from kmip.pie.client import ProxyKmipClient

DATA_KEY = bytes(range(32))


def oaep(hash_algorithm):
    """Server-side parameters; PyKMIP has no field for the mask's hash, which is then SHA-1."""
    return {
        "padding_method": enums.PaddingMethod.OAEP,
        "hashing_algorithm": hash_algorithm,
        "cryptographic_algorithm": enums.CryptographicAlgorithm.RSA,
    }


def local_oaep(hash_algorithm):
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hash_algorithm, label=None)


def refused(call, *reasons):
    try:
        call()
    except exceptions.KmipOperationFailure as failure:
        assert failure.reason in reasons, failure
        assert failure.message, "a refusal says why"
    else:
        raise AssertionError("not refused")


def server_is_known(client):
    answer = client.proxy.query(
        query_functions=[
            enums.QueryFunction.QUERY_OPERATIONS,
            enums.QueryFunction.QUERY_OBJECTS,
            enums.QueryFunction.QUERY_SERVER_INFORMATION,
        ]
    )
    assert answer.result_status.value == enums.ResultStatus.SUCCESS
    assert enums.Operation.CREATE_KEY_PAIR in answer.operations, answer.operations
    assert enums.ObjectType.PUBLIC_KEY in answer.object_types, answer.object_types
    assert answer.vendor_identification.startswith("kms-server")
    answer = client.proxy.discover_versions()
    assert answer.result_status.value == enums.ResultStatus.SUCCESS
    versions = [(version.major, version.minor) for version in answer.protocol_versions]
    assert (1, 2) in versions and (1, 4) in versions, versions


def attributes_are_right(client, public, name):
    """Each attribute that PyKMIP can read, by name."""
    names = client.get_attribute_list(public)
    assert names == sorted(set(names)) and "Link" in names, names
    unreadable = {"Link", "Random Number Generator"}
    _, found = client.get_attributes(public, [each for each in names if each not in unreadable])
    found = {each.attribute_name.value: each for each in found}
    assert set(found) == set(names) - unreadable, found.keys()
    assert all(each.attribute_index is None for each in found.values()), "single instances have no index"
    value = {key: each.attribute_value for key, each in found.items()}
    assert value["Unique Identifier"].value == public
    assert value["Object Type"].value == enums.ObjectType.PUBLIC_KEY
    assert value["State"].value == enums.State.ACTIVE
    assert value["Cryptographic Algorithm"].value == enums.CryptographicAlgorithm.RSA
    assert value["Cryptographic Length"].value == 2048
    assert value["Cryptographic Usage Mask"].value == enums.CryptographicUsageMask.ENCRYPT.value
    assert value["Name"].name_value.value == name + "-public"
    assert value["Digest"].hashing_algorithm.value == enums.HashingAlgorithm.SHA_256
    assert value["Digest"].key_format_type.value == enums.KeyFormatType.PKCS_1
    digest = hashes.Hash(hashes.SHA256())
    digest.update(client.get(public).value)
    assert value["Digest"].digest_value.value == digest.finalize()
    assert value["Initial Date"].value <= value["Activation Date"].value <= value["Last Change Date"].value
    _, one = client.get_attributes(public, ["State"])
    assert [each.attribute_name.value for each in one] == ["State"], "what was asked and nothing else"


def keys_fit(client, public, private):
    """What one side encrypts the other decrypts, at the KMS and here."""
    key = client.get(public)
    assert isinstance(key, objects.PublicKey)
    assert key.key_format_type == enums.KeyFormatType.PKCS_1
    assert (key.cryptographic_algorithm, key.cryptographic_length) == (enums.CryptographicAlgorithm.RSA, 2048)
    encryptor = serialization.load_der_public_key(key.value)
    key = client.get(private)
    assert isinstance(key, objects.PrivateKey)
    decryptor = serialization.load_der_private_key(key.value, password=None)
    assert decryptor.public_key().public_numbers() == encryptor.public_numbers()
    for theirs, ours in [
        (enums.HashingAlgorithm.SHA_1, hashes.SHA1()),
        (enums.HashingAlgorithm.SHA_256, hashes.SHA256()),
    ]:
        ciphertext = client.encrypt(DATA_KEY, uid=public, cryptographic_parameters=oaep(theirs))[0]
        assert decryptor.decrypt(ciphertext, local_oaep(ours)) == DATA_KEY
        ciphertext = encryptor.encrypt(DATA_KEY, local_oaep(ours))
        assert client.decrypt(ciphertext, uid=private, cryptographic_parameters=oaep(theirs)) == DATA_KEY


def life_of_a_pair(client, name):
    public, private = client.create_key_pair(
        enums.CryptographicAlgorithm.RSA,
        2048,
        public_name=name + "-public",
        public_usage_mask=[enums.CryptographicUsageMask.ENCRYPT],
        private_name=name + "-private",
        private_usage_mask=[enums.CryptographicUsageMask.DECRYPT],
    )
    for uid in (public, private):
        client.activate(uid)
    wanted = AttributeFactory().create_attribute(enums.AttributeType.NAME, name + "-public")
    assert client.locate(attributes=[wanted]) == [public]
    wanted = AttributeFactory().create_attribute(enums.AttributeType.NAME, name + "-missing")
    assert client.locate(attributes=[wanted]) == []
    attributes_are_right(client, public, name)
    keys_fit(client, public, private)
    refused(lambda: client.destroy(private), enums.ResultReason.PERMISSION_DENIED)
    refused(lambda: client.get("no-such-key"), enums.ResultReason.ITEM_NOT_FOUND)
    for uid in (public, private):
        client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, uid, "the job is gone")
        client.destroy(uid)
        refused(lambda: client.get(uid), enums.ResultReason.ILLEGAL_OPERATION)
        _, found = client.get_attributes(uid, ["State"])
        assert found[0].attribute_value.value == enums.State.DESTROYED
    return public, private


def main(host, port, pki, version, tls, name):
    client = ProxyKmipClient(
        hostname=host,
        port=int(port),
        cert=f"{pki}/client.pem",
        key=f"{pki}/client.key",
        ca=f"{pki}/ca.pem",
        ssl_version=tls,
        config_file="/dev/null",
        kmip_version=enums.KMIPVersion["KMIP_" + version.replace(".", "_")],
    )
    with client:
        suite, spoken, _ = client.proxy.socket.cipher()
        server_is_known(client)
        public, private = life_of_a_pair(client, name)
    print(json.dumps({"public": public, "private": private, "tls": spoken, "suite": suite}))


if __name__ == "__main__":
    main(*sys.argv[1:])
