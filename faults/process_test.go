package faults

var processFaults = []*scenario{}
