package android.graphics

import android.content.ContentResolver
import android.content.res.AssetManager
import android.net.Uri
import java.io.InputStream

/** Opaque pixels of which parts can be read. */
class Bitmap private constructor(private val pixels: IntArray, val width: Int, val height: Int) {
    enum class Config { ARGB_8888, HARDWARE }

    val config: Config? = Config.ARGB_8888

    fun hasAlpha(): Boolean = false

    fun copy(config: Config, isMutable: Boolean): Bitmap = this

    fun getPixels(
        pixels: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int,
    ) {
        for (row in 0 until height) {
            val start = (y + row) * this.width + x
            this.pixels.copyInto(pixels, offset + row * stride, start, start + width)
        }
    }

    companion object {
        fun createBitmap(width: Int, height: Int, config: Config): Bitmap =
            Bitmap(IntArray(width * height), width, height)

        fun createBitmap(colors: IntArray, width: Int, height: Int, config: Config): Bitmap =
            Bitmap(colors, width, height)

        fun createBitmap(
            source: Bitmap, x: Int, y: Int, width: Int, height: Int, m: Matrix?, filter: Boolean,
        ): Bitmap = TODO()
    }
}

class Rect(val left: Int, val top: Int, val right: Int, val bottom: Int) {
    fun width(): Int = right - left

    fun height(): Int = bottom - top
}

class Matrix {
    fun postRotate(degrees: Float): Boolean = TODO()
}

class Paint

class Canvas(bitmap: Bitmap) {
    fun drawColor(color: Int): Unit = TODO()

    fun drawBitmap(bitmap: Bitmap, left: Float, top: Float, paint: Paint?): Unit = TODO()
}

object Color {
    const val BLACK = 0xFF000000.toInt()
    const val WHITE = -1
}

abstract class ColorSpace {
    enum class Named { SRGB }

    companion object {
        fun get(name: Named): ColorSpace = TODO()
    }
}

object BitmapFactory {
    fun decodeStream(stream: InputStream): Bitmap? = TODO()
}

class ImageDecoder {
    abstract class Source

    class ImageInfo

    fun interface OnHeaderDecodedListener {
        fun onHeaderDecoded(decoder: ImageDecoder, info: ImageInfo, source: Source)
    }

    var allocator: Int = 0

    fun setTargetColorSpace(colorSpace: ColorSpace): Unit = TODO()

    companion object {
        const val ALLOCATOR_SOFTWARE = 1

        fun createSource(assets: AssetManager, fileName: String): Source = TODO()

        fun createSource(resolver: ContentResolver, uri: Uri): Source = TODO()

        fun decodeBitmap(source: Source, listener: OnHeaderDecodedListener): Bitmap = TODO()
    }
}
