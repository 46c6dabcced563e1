package androidx.camera.core

import android.graphics.Bitmap
import android.graphics.Rect
import java.util.concurrent.Executor

interface ImageInfo {
    val rotationDegrees: Int
}

interface ImageProxy : AutoCloseable {
    val cropRect: Rect
    val imageInfo: ImageInfo

    fun toBitmap(): Bitmap
}

open class UseCase

class Preview : UseCase() {
    interface SurfaceProvider

    class Builder {
        fun build(): Preview = TODO()
    }

    fun setSurfaceProvider(provider: SurfaceProvider?): Unit = TODO()
}

class ImageAnalysis : UseCase() {
    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    class Builder {
        fun setBackpressureStrategy(strategy: Int): Builder = TODO()

        fun setOutputImageFormat(format: Int): Builder = TODO()

        fun build(): ImageAnalysis = TODO()
    }

    fun setAnalyzer(executor: Executor, analyzer: Analyzer): Unit = TODO()

    companion object {
        const val STRATEGY_KEEP_ONLY_LATEST = 0
        const val OUTPUT_IMAGE_FORMAT_RGBA_8888 = 2
    }
}

interface Camera

class CameraSelector {
    companion object {
        val DEFAULT_BACK_CAMERA: CameraSelector get() = TODO()
    }
}
