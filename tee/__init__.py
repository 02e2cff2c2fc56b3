"""What a machine proves: evidence of a vendor, to claims, to a level. It stands alone and imports nothing of ours.

Read first: `evidence` (the table of vendors and the one answer), `claims`, `appraisal`. Then one family: `dcap` with `sgx` and
`tdx`, `sev_snp`, `nitro`, `nvidia`. The readers below them, `der`, `certificates`, `cbor`, `strict_json` and `pem`, accept one form
of each thing; `signatures` is the only module that calls a library. `simulated` makes evidence for chains without hardware.
"""
