/**
 * The WeChat SDK's side of a login. Copy this file to the package `wxapi` below your applicationId: WeChat calls the
 * class by that name. It needs `com.tencent.mm.opensdk:wechat-sdk-android` 6.8 or newer.
 *
 * AndroidManifest.xml:
 *
 *     <queries><package android:name="com.tencent.mm" /></queries>
 *     <activity android:name=".wxapi.WXEntryActivity" android:exported="true" android:launchMode="singleTask"
 *         android:taskAffinity="your.application.id" android:theme="@android:style/Theme.Translucent.NoTitleBar" />
 *
 * ProGuard and R8: `-keep class com.tencent.mm.opensdk.** { *; }`.
 *
 * At open.weixin.qq.com: the application id and the signature of the release key belong to the mobile app, and the
 * mini program is associated with it.
 */
package com.example.wxapi

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Bundle
import com.tencent.mm.opensdk.constants.ConstantsAPI
import com.tencent.mm.opensdk.modelbase.BaseReq
import com.tencent.mm.opensdk.modelbase.BaseResp
import com.tencent.mm.opensdk.modelbiz.WXLaunchMiniProgram
import com.tencent.mm.opensdk.openapi.IWXAPI
import com.tencent.mm.opensdk.openapi.IWXAPIEventHandler
import com.tencent.mm.opensdk.openapi.WXAPIFactory
import ticketgate.LaunchRequest

/** The AppID of your *mobile app*, not of the mini program. */
const val WECHAT_APP_ID = "wx0000000000000000"

object WeChatLogin {
    /** Gets `extMsg`; null if WeChat came back without a ticket. Set it in Application.onCreate; sign in there. */
    var onReturn: (String?) -> Unit = {}

    fun api(context: Context): IWXAPI = WXAPIFactory.createWXAPI(context, WECHAT_APP_ID, true)

    /** Opens the mini program. Returns false if WeChat cannot be opened. */
    fun open(context: Context, launch: LaunchRequest): Boolean {
        val request = WXLaunchMiniProgram.Req()
        request.userName = launch.userName
        request.path = launch.path
        request.miniprogramType = launch.miniProgramType
        return api(context).apply { registerApp(WECHAT_APP_ID) }.sendReq(request)
    }
}

class WXEntryActivity : Activity(), IWXAPIEventHandler {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        WeChatLogin.api(this).handleIntent(intent, this)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        setIntent(intent)
        WeChatLogin.api(this).handleIntent(intent, this)
    }

    override fun onReq(request: BaseReq) = finish()

    override fun onResp(response: BaseResp) {
        // errCode 0 says only that WeChat came back. What happened is in extMsg, which the service reads.
        if (response.type == ConstantsAPI.COMMAND_LAUNCH_WX_MINIPROGRAM) {
            WeChatLogin.onReturn((response as WXLaunchMiniProgram.Resp).extMsg?.ifEmpty { null })
        }
        finish()
    }
}
