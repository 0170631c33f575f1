package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// sound is that of a WAV file: samples of 16 bits, little-endian, one channel.
type sound struct {
	samples []byte
	rateHz  int
}

// parseWAV reads the chunks of a RIFF file; a file that ends early has what is there.
func parseWAV(file []byte) (sound, error) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		return sound{}, errors.New("this is no WAV file")
	}
	var read sound
	for rest := file[12:]; len(rest) >= 8; {
		name, size := string(rest[:4]), int(binary.LittleEndian.Uint32(rest[4:]))
		content := rest[8:min(8+size, len(rest))]
		switch {
		case name == "fmt " && len(content) >= 16:
			channels, bits := binary.LittleEndian.Uint16(content[2:]), binary.LittleEndian.Uint16(content[14:])
			if channels != 1 || bits != 16 {
				return sound{}, fmt.Errorf("the file has %d channels of %d bits; it must be one of 16", channels, bits)
			}
			read.rateHz = int(binary.LittleEndian.Uint32(content[4:]))
		case name == "data" && read.rateHz > 0:
			read.samples = content
			return read, nil
		}
		rest = rest[min(8+size+size%2, len(rest)):]
	}
	return sound{}, errors.New("the WAV file has no sound")
}
