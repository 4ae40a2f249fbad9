# What packages hold beside programs, by pname: path in the package -> path in the
# guest. Only what NixOS's own modules name.
{
  glibc-locales."lib/locale/locale-archive" = "/usr/lib/locale/locale-archive";
  nss-cacert."etc/ssl/certs/ca-bundle.crt" = "/usr/share/offload-e2e/ca-bundle.crt";
  nano."share/nano" = "/usr/share/nano";
  openssh = {
    "etc/ssh/moduli" = "/etc/ssh/moduli";
    "libexec/sftp-server" = "/usr/lib/openssh/sftp-server";
  };
  systemd."lib/systemd" = "/usr/lib/systemd";
  libutempter."lib/utempter" = "/usr/lib/x86_64-linux-gnu/utempter";
  tzdata."share/zoneinfo" = "/usr/share/zoneinfo";
  zsh-autosuggestions."share/zsh-autosuggestions" = "/usr/share/zsh-autosuggestions";
  zsh-syntax-highlighting."share/zsh-syntax-highlighting" = "/usr/share/zsh-syntax-highlighting";
}
