# reader-token: for a service that needs one token, here acme/main.
# For another one: refresher vault policy reader-token --id TENANT/NAME

# This token and no other.
path "secret/data/refresher/tokens/acme/main" { capabilities = ["read"] }
