package android.content.res

import java.io.File
import java.io.InputStream

/** Reads the files of a folder. */
class AssetManager(private val folder: File) {
    fun open(fileName: String): InputStream = File(folder, fileName).inputStream()
}
