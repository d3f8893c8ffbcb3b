package android.content;

public class Context {
    public java.io.File getNoBackupFilesDir() { return null; }
}
