# The program by which tmux and mosh tell utmp(5) of their sessions, as one of security.wrappers.
pkgs: {
  source = "${pkgs.libutempter}/lib/utempter/utempter";
  owner = "root";
  group = "utmp";
  setuid = false;
  setgid = true;
}
