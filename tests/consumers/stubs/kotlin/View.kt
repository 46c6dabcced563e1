package android.view

import android.content.Context

open class View(val context: Context) {
    fun interface OnClickListener {
        fun onClick(view: View)
    }

    fun setOnClickListener(listener: OnClickListener?): Unit = TODO()

    fun setPadding(left: Int, top: Int, right: Int, bottom: Int): Unit = TODO()
}
