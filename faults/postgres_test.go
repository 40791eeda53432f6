package faults

var postgresFaults = []*scenario{}
