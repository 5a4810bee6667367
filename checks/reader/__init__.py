"""A second reader of the format of Coffre, written from its description alone.

The description is `vault-core/docs/format.md` ("the text" in what follows), with
the schemas that it names in `proto/coffre/`. Nothing here was taken from the Rust
code. The modules follow the parts of the text; a module uses only what stands
before it:

    refusal, wire, messages      errors, canonical protobuf, the schemas
    crypto/                      hashes, signatures, ML-KEM, X-Wing, HPKE, sealing
    public/                      part 1: what needs no secret
    secret/                      part 2: keys, boxes, chunks, packs, roots
    secret/chunker               part 3
    content/                     part 4: what is in the chunks
    links/                       part 5
    vectors/                     runs all of it over the published vectors
"""
