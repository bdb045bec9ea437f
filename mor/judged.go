package mor

// Judged are records whose signatures were found good. Routers that share it verify each record once between them: in a simulation
// thousands of them, in one process, learn the same. It forgets nothing, and whoever shares it has to know the same
// authorities. The zero value is ready; it is not safe for concurrent use.
type Judged struct {
	records map[string]judged
}

type judged struct {
	record Record
	raw    []byte
}

// read reads a record and verifies its signature, if nobody has. What it returns is shared: nobody may change it.
func (j *Judged) read(raw []byte, authorities Authorities) (Record, []byte, error) {
	if known, ok := j.records[string(raw)]; ok {
		return known.record, known.raw, nil
	}
	record, err := verifyRecord(raw, authorities)
	if err != nil {
		return Record{}, nil, err
	}
	if j.records == nil {
		j.records = make(map[string]judged)
	}
	key := string(raw)
	fresh := judged{record, []byte(key)}
	j.records[key] = fresh
	return record, fresh.raw, nil
}
