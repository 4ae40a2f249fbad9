package check

import "encoding/base64"

func decodeKey(material string) ([]byte, error) { return base64.StdEncoding.DecodeString(material) }
