package android.security.keystore;

public class KeyProperties {
    public static final int PURPOSE_ENCRYPT = 1, PURPOSE_DECRYPT = 2, PURPOSE_SIGN = 4;
    public static final String BLOCK_MODE_GCM = "GCM", ENCRYPTION_PADDING_NONE = "NoPadding", DIGEST_SHA256 = "SHA-256";
}
