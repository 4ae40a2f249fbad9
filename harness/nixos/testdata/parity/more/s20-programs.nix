# Programs that bring more than their package: shells, agents, wrappers, files.
{ pkgs, ... }:
{
  programs = {
    bash.undistractMe.enable = true;
    ccache.enable = true;
    direnv.enable = true;
    direnv.silent = true;
    fuse.enable = true;
    fuse.userAllowOther = true;
    fzf.keybindings = true;
    gnupg.agent.enable = true;
    gnupg.agent.enableSSHSupport = true;
    gnupg.agent.settings.default-cache-ttl = 600;
    htop.enable = true;
    htop.settings = {
      fields = [
        0
        "48"
        true
      ];
      hide_threads = false;
    };
    iotop.enable = true;
    iotop.enableDelayacct = true;
    mosh.enable = true;
    mtr.enable = true;
    neovim.enable = true;
    neovim.viAlias = true;
    neovim.runtime."ftplugin/c.vim".text = "setlocal omnifunc=";
    screen.enable = true;
    tcpdump.enable = true;
    tmux.enable = true;
    vim.enable = true;
    vim.defaultEditor = true;
    wireshark.enable = true;
    zsh.enable = true;
    zsh.ohMyZsh.enable = true;
  };
  users.users.alice = {
    isNormalUser = true;
    shell = pkgs.zsh;
    extraGroups = [ "wireshark" ];
  };
  security.doas.enable = true;
  security.wrappers.of-mine = {
    owner = "root";
    group = "wireshark";
    source = "${pkgs.hello}/bin/hello";
  };
}
