# ERROR: an option that services of PAM do not have, in a submodule that nothing else looks at.
{
  security.pam.services.sshd.showMtod = true;
}
