# reader: for a service that calls providers for all tenants.
# It reads published tokens, and no credential, grant or key.

# The tokens of all tenants.
path "secret/data/refresher/tokens/*" { capabilities = ["read"] }

# Which tokens there are.
path "secret/metadata/refresher/tokens/*" { capabilities = ["list"] }
