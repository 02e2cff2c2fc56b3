"""Opaque bytes between authenticated peers.

p2p knows nothing of blocks, votes or transactions and imports nothing of ours. Everything but `transport`
and `network` is a deterministic core: bytes, time and chance come in as arguments.

errors        reasons for violations, refusals and lost connections
codec         strict msgpack: one value has one byte string
noise         Noise XX over X25519, ChaCha20-Poly1305 and SHA-256
handshake     who is at the other end: an Ed25519 key that signs its Noise key
wire          records and frames: cut, encrypt, check, put together again
channels      kinds of traffic: size, rate and queue limits, and what leaves first
control       keep-alive, admission and farewell between the two ends of a connection
session       one open connection: records in, messages out, and back
address       host and port as text, and the subnet they belong to
peer_book     addresses worth dialing, bounded and spread over subnets
scores        misbehaviour that adds up to a ban and fades with time
dialing       whom to dial and when to try again
roster        who may connect: limits, duplicates, blocks
exchange      asking peers for addresses
gossip        spreading blobs by 32-byte ids
requests      what was asked, from whom, until when
config        what an operator may set
events        what the network tells the node
counters      plain integers for the metrics
transport     shell: one TCP connection
network       shell: all connections
"""
