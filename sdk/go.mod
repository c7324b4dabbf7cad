module vitrine/sdk

go 1.24
