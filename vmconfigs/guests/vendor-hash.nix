"sha256-Eb2MJ/hi52pNcf+2A+sWMbvdfLH8htcG7UGBajVtkF0="
