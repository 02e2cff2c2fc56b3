"""Evidence and enclaves: what is proven of a machine, and what that is worth now.

collateral          put_collateral: a vendor's document comes in
documents           which document of a subject counts now
attestations        attest: a machine proves what it runs
attest_checks       the checks of an attestation, in one table
challenges          recent blocks that evidence and receipts name
evidence            verifying evidence, and keeping the answers
profiles            measurements that a release expects
judgement           state and level of an enclave by what the chain knows now
enclaves            how a judgement changes an enclave; re-appraisal
cohorts             enclaves that stand or fall together, and their queue
rules               what governance decides about trust
"""
