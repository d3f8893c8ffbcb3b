package com.tencent.mm.opensdk.constants;

public interface ConstantsAPI {
    int COMMAND_LAUNCH_WX_MINIPROGRAM = 19;
}
