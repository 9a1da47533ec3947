# reader-tenant: for a service that works for one tenant, here acme.
# For another one: refresher vault policy reader-tenant --id TENANT/NAME

# The tokens of this tenant.
path "secret/data/refresher/tokens/acme/*" { capabilities = ["read"] }

# Which tokens it has.
path "secret/metadata/refresher/tokens/acme/*" { capabilities = ["list"] }
