package android.content

import android.content.res.AssetManager

class ContentResolver

abstract class Context {
    abstract val assets: AssetManager
    abstract val applicationContext: Context
    abstract val contentResolver: ContentResolver
}
