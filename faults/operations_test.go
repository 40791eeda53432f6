package faults

var operationsFaults = []*scenario{}
