package com.tencent.mm.opensdk.openapi;

public class WXAPIFactory {
    public static IWXAPI createWXAPI(android.content.Context context, String appId, boolean checkSignature) { return null; }
}
