"""Evidence of confidential hardware in files: read, taken apart, judged and explained, without node or network.

- `files`: bytes from binary, hex, base64 and PEM files, and which kind of evidence they are
- `folder`: vendor documents in a folder, each checked when a verifier asks for it
- `decode`: what evidence and documents say, verified or not
- `names`: words of the vendors for bits and statuses
- `report`: the verdict with everything that it rests on
"""
