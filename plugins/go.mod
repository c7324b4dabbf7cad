module vitrine/plugins

go 1.24

require vitrine/sdk v0.0.0

replace vitrine/sdk => ../sdk
