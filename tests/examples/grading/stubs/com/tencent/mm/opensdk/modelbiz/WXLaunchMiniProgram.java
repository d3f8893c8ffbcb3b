package com.tencent.mm.opensdk.modelbiz;

import com.tencent.mm.opensdk.modelbase.BaseReq;
import com.tencent.mm.opensdk.modelbase.BaseResp;

public final class WXLaunchMiniProgram {
    public static final class Req extends BaseReq {
        public String userName, path;
        public int miniprogramType;
        public int getType() { return 19; }
    }

    public static final class Resp extends BaseResp {
        public String extMsg;
        public int getType() { return 19; }
    }
}
