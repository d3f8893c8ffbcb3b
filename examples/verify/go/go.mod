module example.com/verify

go 1.20
