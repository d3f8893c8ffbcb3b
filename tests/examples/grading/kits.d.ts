// The parts of the HarmonyOS SDK and of WeChat's SDK that examples/harmony uses, as their pages describe them.

declare function setTimeout(work: () => void, milliseconds: number): number;

declare module '@kit.AbilityKit' {
  export namespace common {
    class Context {}
    class UIAbilityContext extends Context {}
  }
  export class Want {}
}

declare module '@kit.ArkData' {
  import { common } from '@kit.AbilityKit';
  export namespace preferences {
    type ValueType = number | string | boolean | Uint8Array;
    interface Preferences {
      get(key: string, missing: ValueType): Promise<ValueType>;
      put(key: string, value: ValueType): Promise<void>;
      flush(): Promise<void>;
    }
    function getPreferences(context: common.Context, name: string): Promise<Preferences>;
  }
}

declare module '@kit.ArkTS' {
  export namespace util {
    enum Type { BASIC, MIME, BASIC_URL_SAFE, MIME_URL_SAFE }
    function generateRandomUUID(entropyCache?: boolean): string;
    class Base64Helper {
      encodeToStringSync(data: Uint8Array, options?: Type): string;
    }
    class TextEncoder {
      encodeInto(text: string): Uint8Array;
    }
    class TextDecoder {
      static create(encoding?: string): TextDecoder;
      decodeToString(data: Uint8Array): string;
    }
  }
}

declare module '@kit.CryptoArchitectureKit' {
  export namespace cryptoFramework {
    interface DataBlob { data: Uint8Array }
    interface Random { generateRandomSync(length: number): DataBlob }
    function createRandom(): Random;
  }
}

declare module '@kit.NetworkKit' {
  export namespace http {
    enum RequestMethod { GET = 'GET', POST = 'POST', DELETE = 'DELETE' }
    enum HttpDataType { STRING = 0, OBJECT = 1, ARRAY_BUFFER = 2 }
    interface HttpRequestOptions {
      method?: RequestMethod;
      header?: Object;
      extraData?: string | Object | ArrayBuffer;
      expectDataType?: HttpDataType;
      usingCache?: boolean;
      connectTimeout?: number;
      readTimeout?: number;
    }
    interface HttpResponse { result: string | Object | ArrayBuffer; responseCode: number; header: Object }
    interface HttpRequest {
      request(url: string, options?: HttpRequestOptions): Promise<HttpResponse>;
      destroy(): void;
    }
    function createHttp(): HttpRequest;
  }
}

declare module '@kit.UniversalKeystoreKit' {
  export namespace huks {
    enum HuksTag {
      HUKS_TAG_ALGORITHM, HUKS_TAG_PURPOSE, HUKS_TAG_KEY_SIZE, HUKS_TAG_DIGEST, HUKS_TAG_PADDING,
      HUKS_TAG_BLOCK_MODE, HUKS_TAG_NONCE, HUKS_TAG_AE_TAG
    }
    enum HuksKeyAlg { HUKS_ALG_ECC, HUKS_ALG_AES }
    enum HuksKeySize { HUKS_ECC_KEY_SIZE_256 = 256, HUKS_AES_KEY_SIZE_256 = 256 }
    enum HuksKeyPurpose {
      HUKS_KEY_PURPOSE_ENCRYPT = 1, HUKS_KEY_PURPOSE_DECRYPT = 2, HUKS_KEY_PURPOSE_SIGN = 4
    }
    enum HuksKeyDigest { HUKS_DIGEST_SHA256 }
    enum HuksKeyPadding { HUKS_PADDING_NONE }
    enum HuksCipherMode { HUKS_MODE_GCM }
    interface HuksParam { tag: HuksTag; value: boolean | number | bigint | Uint8Array }
    interface HuksOptions { properties?: HuksParam[]; inData?: Uint8Array }
    interface HuksSessionHandle { handle: number; challenge?: Uint8Array }
    interface HuksReturnResult { outData?: Uint8Array; properties?: HuksParam[] }
    function generateKeyItem(alias: string, options: HuksOptions): Promise<void>;
    function hasKeyItem(alias: string, options: HuksOptions): Promise<boolean>;
    function exportKeyItem(alias: string, options: HuksOptions): Promise<HuksReturnResult>;
    function initSession(alias: string, options: HuksOptions): Promise<HuksSessionHandle>;
    function finishSession(handle: number, options: HuksOptions): Promise<HuksReturnResult>;
  }
}

declare module '@tencent/wechat_open_sdk' {
  import { common, Want } from '@kit.AbilityKit';
  export class BaseReq {}
  export class BaseResp { errCode: number; errStr?: string }
  export class LaunchMiniProgramReq extends BaseReq {
    userName?: string;
    path?: string;
    miniprogramType?: number;
  }
  export class LaunchMiniProgramResp extends BaseResp { extMsg?: string }
  export interface WXApiEventHandler {
    onReq: (request: BaseReq) => void;
    onResp: (response: BaseResp) => void;
  }
  export interface WXApi {
    sendReq(context: common.UIAbilityContext, request: BaseReq): Promise<boolean>;
    handleWant(want: Want, handler: WXApiEventHandler): void;
  }
  export class WXAPIFactory { static createWXAPI(appId: string): WXApi }
}
