{ environment.etc.off.text = "off"; }
