module twin-go

go 1.19
