package com.tencent.mm.opensdk.openapi;

public interface IWXAPI {
    boolean registerApp(String appId);
    boolean handleIntent(android.content.Intent intent, IWXAPIEventHandler handler);
    boolean sendReq(com.tencent.mm.opensdk.modelbase.BaseReq request);
}
