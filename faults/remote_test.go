package faults

var remoteFaults = []*scenario{}
