package trivium

import (
	"mime"
	"os"
	"path/filepath"

	triviumv1 "trivium.internal/go/trivium/v1"
)

// MediaFile reads an image or a recording. The file is sent as it is, and its content decides what it is taken for. The
// error is that of package os.
func MediaFile(path string) (*triviumv1.Media, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	media := Media(content)
	media.MimeType = mime.TypeByExtension(filepath.Ext(path))
	return media, nil
}

// Media returns an image or a recording from the bytes of its file.
func Media(content []byte) *triviumv1.Media {
	return &triviumv1.Media{Source: &triviumv1.Media_Content{Content: content}}
}
