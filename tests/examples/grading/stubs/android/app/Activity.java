package android.app;

public class Activity extends android.content.Context {
    public android.content.Intent getIntent() { return null; }
    public void setIntent(android.content.Intent intent) {}
    public void finish() {}
    protected void onCreate(android.os.Bundle state) {}
    protected void onNewIntent(android.content.Intent intent) {}
}
